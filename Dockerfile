# The image of renewd: docs/container.md. `docker build -t renewd .`, or podman, or buildah.
#
# What it holds is what scripts/image-root says, on top of nothing: the binary, the four libraries that it is linked with, root
# certificates. No shell, no package manager.
ARG RUST=docker.io/library/rust:1-bookworm

FROM ${RUST} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && scripts/image-root /image target/release/renewd

FROM scratch
COPY --from=build /image/ /
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="renewd" \
      org.opencontainers.image.description="Keeps short-lived API tokens fresh: issues once, renews shortly before expiry, delivers atomically" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Where state and the socket are unless the configuration says otherwise. Mount a volume at /var/lib/renewd; what else is
# written goes to volumes of yours, so that the root may be read-only.
ENV PATH=/usr/bin STATE_DIRECTORY=/var/lib/renewd/state RUNTIME_DIRECTORY=/run/renewd
USER 65532:65532
EXPOSE 9478
STOPSIGNAL SIGTERM
# Whether all is well, not only whether it runs: Docker shows it, and restarts nothing for it. Kubernetes has probes of its own.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["/usr/bin/renewd", "status", "--check"]
ENTRYPOINT ["/usr/bin/renewd"]
CMD ["run"]
