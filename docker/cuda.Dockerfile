# The web page and the HTTP API on an NVIDIA GPU. CUDA and cuDNN come as wheels that fit onnxruntime-gpu; the host has
# the driver and the NVIDIA Container Toolkit:
#   docker build -f docker/cuda.Dockerfile -t revisage:cuda .
#   docker run --rm --gpus all -p 127.0.0.1:8000:8000 revisage:cuda
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim-bookworm
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY constraints.txt /tmp/constraints.txt
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt --find-links /wheels 'revisage[serve,video,heif]==0.1.0' \
    && pip uninstall --yes onnxruntime \
    && pip install --no-cache-dir 'onnxruntime-gpu[cuda,cudnn]==1.*' \
    && find /usr/local/lib/python3.12/site-packages/nvidia -type d -name lib > /etc/ld.so.conf.d/nvidia.conf \
    && ldconfig \
    && rm -r /wheels /tmp/constraints.txt \
    && useradd --create-home --uid 1000 revisage
USER 1000
WORKDIR /home/revisage
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["revisage"]
CMD ["serve", "--host", "0.0.0.0", "--device", "cuda"]
