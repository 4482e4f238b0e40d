# The node. Compiled here, so that it runs whatever the host's libc is.
ARG RUST=rust:1.95-bookworm
ARG BASE=debian:bookworm-slim

FROM ${RUST} AS build
# So that the harness finds this stage, which is large, and removes it later.
LABEL raft-lab.image=build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# Cargo wants to see every member of the workspace. Of those that the node does not use the
# manifest is enough, so that their changes do not compile the node again.
COPY checker/Cargo.toml checker/
COPY harness/Cargo.toml harness/
COPY docker/packages/Cargo.toml docker/packages/
RUN mkdir -p checker/src docker/packages/src harness/src \
    && touch checker/src/lib.rs checker/src/main.rs docker/packages/src/lib.rs \
        harness/src/lib.rs harness/src/main.rs
COPY proto proto
COPY node node
# Empty, or `mutants` for an image of the node with known bugs.
ARG FEATURES=
RUN cargo build --release --package node --bin raft-node ${FEATURES:+--features ${FEATURES}} \
    && cp target/release/raft-node /raft-node

FROM ${BASE} AS run
# A volume mounted at /data takes over its owner.
RUN mkdir -p /data && chown 10001:10001 /data
COPY --from=build /raft-node /usr/local/bin/raft-node
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/raft-node"]
