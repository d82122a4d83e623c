# syntax=docker/dockerfile:1
# One image for every process of RestNet: `restnet web`, `restnet worker`, `restnet prepare` and all other commands.
#
#   docker build --build-arg TORCH_INDEX=<address of the CPU index> -t restnet:local .     small, for CPUs
#   docker build -t restnet:local-cuda .                                                   with CUDA, for GPUs

# What the pages need from npm.
FROM node:22-trixie-slim AS pages
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY service/web/vendor.mjs service/web/
RUN npm run vendor

# The environment: first what seldom changes.
FROM python:3.11-slim-trixie AS environment
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/restnet
ENV PATH=/opt/restnet/bin:$PATH
WORKDIR /srv/restnet
COPY constraints.txt pyproject.toml README.md ./
# Address of a package index that holds the CPU build of PyTorch; empty: the default index decides, which brings CUDA.
ARG TORCH_INDEX=""
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"; \
    fi \
    && pip install --constraint constraints.txt --editable .
COPY imaging imaging
COPY model model
COPY training training
COPY service service
COPY migrations migrations
COPY --from=pages /build/service/web/static/vendor service/web/static/vendor
# Once more, now that the packages are there. Compiled, because the root file system is read-only.
RUN pip install --no-deps --editable . \
    && python -m compileall -q /srv/restnet /opt/restnet

# What runs: no compiler, no npm, no test, no account but one with a number.
FROM python:3.11-slim-trixie
# pg_dump and pg_restore for `restnet backup`: the major version of the server in docker-compose.yml.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 restnet \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin restnet \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/restnet /srv/training
COPY --from=environment /opt/restnet /opt/restnet
COPY --from=environment /srv/restnet /srv/restnet
ENV PATH=/opt/restnet/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    RESTNET_DATA_DIR=/var/lib/restnet \
    RESTNET_LOG_FORMAT=json
WORKDIR /srv/restnet
USER 10001:10001
VOLUME ["/var/lib/restnet"]
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=3 CMD ["restnet", "health", "web"]
ENTRYPOINT ["restnet"]
CMD ["web", "--host", "0.0.0.0"]
