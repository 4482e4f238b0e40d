# The pod: owns a node's network namespace, and has what it takes to break it.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

# A base that has the tools already is used as it is.
RUN for tool in iptables-nft tc busybox; do command -v $tool >/dev/null || missing=yes; done; \
    if [ -n "$missing" ]; then \
        apt-get update \
        && apt-get install -y --no-install-recommends busybox-static iproute2 iptables \
        && rm -rf /var/lib/apt/lists/*; \
    fi

ENTRYPOINT ["busybox", "sleep", "2147483647"]
