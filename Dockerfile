# Roomhook in a container: the mock Room backend by default, and every other command by its name.
#   docker build --tag roomhook .
#   docker run --rm --publish 8090:8090 --env ROOMHOOK_AUTH=change-me roomhook
#   docker run --rm --network host roomhook check http://127.0.0.1:8000/callback
FROM python:3.12-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY schemas ./schemas
COPY simulator ./simulator
COPY contract_tests ./contract_tests
COPY loadtests ./loadtests
RUN python -m venv /opt/roomhook && /opt/roomhook/bin/pip install --no-cache-dir --quiet --disable-pip-version-check ".[load]"

FROM python:3.12-slim
COPY --from=build /opt/roomhook /opt/roomhook
RUN install -d -o 10001 -g 10001 /work
ENV PATH=/opt/roomhook/bin:$PATH HOME=/work PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /work
EXPOSE 8090
HEALTHCHECK --interval=10s --timeout=3s \
  CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8090), 2).close()"]
ENTRYPOINT ["roomhook"]
CMD ["serve", "--listen", "0.0.0.0:8090"]
