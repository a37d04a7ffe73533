# The web page and the HTTP API on a CPU:
#   docker build -f docker/cpu.Dockerfile -t revisage .
#   docker run --rm -p 127.0.0.1:8000:8000 revisage
# Any other command: docker run --rm -v "$PWD:/photos" -w /photos --user "$(id -u)" revisage restore photo.jpg
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim-bookworm
COPY constraints.txt /tmp/constraints.txt
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt --find-links /wheels 'revisage[serve,video,heif]==0.1.0' \
    && rm -r /wheels /tmp/constraints.txt \
    && useradd --create-home --uid 1000 revisage
USER 1000
WORKDIR /home/revisage
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["revisage"]
CMD ["serve", "--host", "0.0.0.0"]
