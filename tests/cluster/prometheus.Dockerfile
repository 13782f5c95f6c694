# Debian's Prometheus, for tests in a cluster.
FROM python:3.11-slim
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
WORKDIR /tmp
CMD ["/usr/bin/prometheus", "--version"]
