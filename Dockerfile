# The service's image, and the simulator's: one static binary each, nothing else.
#
#   docker build --tag engage-bff .                                       (or: podman build --format docker …)
#   docker build --target simulator --tag engage-simulator .
#
# `--format docker` keeps the HEALTHCHECK, which the OCI format does not support. Reproducible: two builds of one commit on
# one architecture give the same binary, and with `SOURCE_DATE_EPOCH` (Docker: --build-arg SOURCE_DATE_EPOCH and
# --output …,rewrite-timestamp=true; podman: --timestamp) the same image. scripts/container builds the last stages alone,
# from binaries built outside, and tests them.

ARG RUST_IMAGE=rust:1.95-slim-bookworm

FROM ${RUST_IMAGE} AS toolchain
WORKDIR /src
# Paths of the build machine don't belong in the binary. With an explicit target, static linking does not apply to macros
# and build scripts, which can't be static.
ENV CARGO_BUILD_RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=/src=. --remap-path-prefix=/usr/local/cargo=cargo"

# The crates of Cargo.lock, compiled with sources that contain nothing: a layer that only a change of a manifest replaces.
FROM toolchain AS dependencies
COPY Cargo.toml Cargo.lock ./
COPY benches/peers/Cargo.toml benches/peers/
COPY crates/engage-simulator/Cargo.toml crates/engage-simulator/
COPY crates/schedules/Cargo.toml crates/schedules/
COPY fuzz/Cargo.toml fuzz/
RUN set -eu; CARGO_BUILD_TARGET="$(rustc --print host-tuple)"; export CARGO_BUILD_TARGET; \
    for package in . benches/peers crates/engage-simulator crates/schedules fuzz; do \
      for path in $(sed -nE 's/^path = "(.*\.rs)"$/\1/p' "$package/Cargo.toml"); do \
        mkdir -p "$package/$(dirname "$path")"; echo 'fn main() {}' > "$package/$path"; \
      done; \
      mkdir -p "$package/src"; : > "$package/src/lib.rs"; echo 'fn main() {}' > "$package/src/main.rs"; \
    done; \
    cargo build --locked --release --package engage-bff --package engage-simulator --bins; \
    cargo clean --locked --release --package engage-bff --package engage-simulator

FROM dependencies AS binaries
COPY . .
# Written into `build_info`.
ARG REVISION=unknown
RUN set -eu; CARGO_BUILD_TARGET="$(rustc --print host-tuple)"; export CARGO_BUILD_TARGET; \
    cargo build --locked --release --package engage-bff --package engage-simulator --bins; \
    cp "target/$CARGO_BUILD_TARGET/release/engage-bff" "target/$CARGO_BUILD_TARGET/release/engage-simulator" /

# What the last stages copy from: scripts/container replaces it by a directory.
FROM scratch AS build
COPY --from=binaries /engage-bff /engage-simulator /

FROM scratch AS simulator
LABEL org.opencontainers.image.title="engage-simulator" \
      org.opencontainers.image.description="A stateful simulator of Voyado Engage, for tests and demonstrations"
COPY --from=build /engage-simulator /engage-simulator
USER 65532:65532
ENV ENGAGE_SIMULATOR_LISTEN=0.0.0.0:8090
EXPOSE 8090
STOPSIGNAL SIGINT
ENTRYPOINT ["/engage-simulator"]

FROM scratch AS service
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="engage-bff" \
      org.opencontainers.image.description="A caching backend-for-frontend for Voyado Engage" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /engage-bff /engage-bff
# An unprivileged user: the image has no user list and no file that this user can write.
USER 65532:65532
# Every address, IPv6 and IPv4; where the kernel has no IPv6, the service listens on 0.0.0.0 instead.
ENV BFF_SERVER__LISTEN=[::]:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/engage-bff", "healthcheck"]
ENTRYPOINT ["/engage-bff"]
CMD ["serve"]
