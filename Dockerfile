# Skyloom in a container. CPU:   docker build -t skyloom .
# CUDA:  docker build -t skyloom --build-arg BASE=nvidia/cuda:12.6.3-runtime-ubuntu24.04 .
ARG BASE=python:3.11-slim
FROM ${BASE}
# The CUDA image brings no Python; the slim one has its own.
RUN command -v python3 >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null || \
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      python3 python3-venv && rm -rf /var/lib/apt/lists/*; }
RUN python3 -m venv /opt/skyloom
ENV PATH=/opt/skyloom/bin:$PATH
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
# The constraints pin everything but the build of torch: pip takes that of the machine it runs on.
RUN pip install --no-cache-dir -c constraints.txt '.[all]' && skyloom doctor
WORKDIR /work
ENTRYPOINT ["skyloom"]
CMD ["--help"]
