(() => {
  "use strict";
  const root = document.documentElement;
  const buttons = document.querySelectorAll(".themes button");

  const colour = (theme) => {
    root.dataset.theme = theme;
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.theme === theme);
    document.dispatchEvent(new Event("recoloured"));
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const theme = button.dataset.theme;
      colour(theme);
      try { localStorage.setItem("skyloom-theme", theme); } catch { /* remembering is not allowed here */ }
    });
  }
  document.querySelector(".themes").hidden = false;
  colour(["light", "dark"].includes(root.dataset.theme) ? root.dataset.theme : "auto");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => colour(root.dataset.theme));

  // The contents stand open beside the text and fold above it.
  const contents = document.querySelector("nav details");
  const narrow = matchMedia("(max-width: 62rem)");
  const fit = () => { contents.open = !narrow.matches; };
  narrow.addEventListener("change", fit);
  fit();
  contents.addEventListener("click", (event) => {
    if (narrow.matches && event.target.closest("a")) contents.open = false;
  });

  const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("main > section")];
  const mark = () => {
    const passed = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
    for (const link of links.values()) link.removeAttribute("aria-current");
    if (passed.length) links.get(passed.at(-1).id)?.setAttribute("aria-current", "true");
  };
  addEventListener("scroll", mark, { passive: true });
  mark();

  // What is folded is on paper all the same.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of opened) fold.open = false; });
})();
