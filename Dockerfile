# The worker's image, for GPUs (EXTRA=gpu: Chatterbox, CUDA libraries from wheels) or without (EXTRA=cpu: draft voice).
#
#   docker build --build-arg EXTRA=gpu -t chatterqueue-gpu .
#   docker build --build-arg EXTRA=cpu -t chatterqueue-cpu .
#
# The host of a GPU needs its driver and the NVIDIA container toolkit, nothing else: torch brings the CUDA libraries.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
ARG EXTRA=gpu
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY requirements/ requirements/
RUN python -m pip install --no-cache-dir --require-hashes -r requirements/setup.txt \
 && uv venv /opt/chatterqueue \
 && uv pip sync --python /opt/chatterqueue/bin/python --require-hashes requirements/${EXTRA}.txt
COPY pyproject.toml README.md LICENSE ./
COPY producer/ producer/
COPY worker/ worker/
RUN python -m hatchling build -t wheel -d /wheel \
 && uv pip install --python /opt/chatterqueue/bin/python --no-deps /wheel/*.whl

FROM python:${PYTHON}-slim-bookworm
RUN groupadd --gid 10001 narrator \
 && useradd --uid 10001 --gid narrator --no-create-home --home-dir /tmp --shell /usr/sbin/nologin narrator
COPY --from=build /opt/chatterqueue /opt/chatterqueue
# Everything that is written at run time goes to /tmp, so that the root file system can be read-only.
ENV PATH=/opt/chatterqueue/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    TRANSFORMERS_OFFLINE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    XDG_CACHE_HOME=/tmp/cache \
    CHATTERQUEUE_CACHE_DIR=/tmp/chatterqueue-cache \
    CHATTERQUEUE_HEARTBEAT_DIR=/tmp/chatterqueue-heartbeat
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=15s --timeout=5s --start-period=5m --retries=3 CMD ["python", "-m", "worker.health"]
ENTRYPOINT ["chatterqueue"]
CMD ["worker", "--role", "all"]
