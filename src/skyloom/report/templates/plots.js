(() => {
  "use strict";
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const colour = (text) => {
    const [name, opacity] = text.split("/");
    probe.style.color = `var(${name})`;
    const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g);
    return `rgba(${r}, ${g}, ${b}, ${opacity ?? 1})`;
  };
  const coloured = (value) => {
    if (typeof value === "string") return value.startsWith("--") ? colour(value) : value;
    if (Array.isArray(value)) return value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item)]));
  };
  const axis = {
    gridcolor: "--rule", linecolor: "--ink", mirror: "allticks", ticks: "inside", tickcolor: "--ink",
    showline: true, zeroline: false, automargin: true, exponentformat: "power", title: { standoff: 8 },
  };
  const styled = ({ xaxis, yaxis, ...rest }) => coloured({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "--ink" },
    hoverlabel: { bgcolor: "--card", bordercolor: "--rule", font: { color: "--ink" }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "--soft/0.6", activecolor: "--ink" },
    margin: { l: 60, r: 12, t: 28, b: 48 },
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
    ...rest,
    xaxis: { ...axis, ...xaxis, title: { ...axis.title, ...xaxis.title } },
    yaxis: { ...axis, ...yaxis, title: { ...axis.title, ...yaxis.title } },
  });
  const buttons = [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = { displaylogo: false, responsive: true, modeBarButtons: buttons };

  let bundle;
  const unpack = async () => {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    return window.Plotly;
  };
  const draw = async (plot) => {
    const Plotly = await (bundle ??= unpack());
    const { data, layout } = JSON.parse(plot.nextElementSibling.textContent);
    plot.hidden = false;
    await Plotly.react(plot, coloured(data), styled(layout), config);
    plot.dataset.drawn = document.documentElement.dataset.theme;
  };
  const plots = [...document.querySelectorAll(".plot")];
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((found) => found.isIntersecting)) {
      near.unobserve(entry.target);
      draw(entry.target.querySelector(".plot"));
    }
  }, { rootMargin: "600px 0px" });
  for (const plot of plots) near.observe(plot.closest("figure"));
  document.addEventListener("recoloured", () => plots.filter((plot) => !plot.hidden).forEach(draw));
})();
