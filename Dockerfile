# The service's image: one static binary, nothing else.
#
#   docker build --tag engage-bff .          (or: podman build --format docker --tag engage-bff .)
#
# `--format docker` keeps the HEALTHCHECK, which the OCI format does not support.
# scripts/container builds the last stage alone, from a binary built outside, and tests it.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# With an explicit target the flag does not apply to macros and build scripts, which can't be static.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
  && RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --package engage-bff --bin engage-bff --target "$target" \
  && cp "target/$target/release/engage-bff" /engage-bff

FROM scratch AS service
LABEL org.opencontainers.image.title="engage-bff" \
      org.opencontainers.image.description="A caching backend-for-frontend for Voyado Engage" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /engage-bff /engage-bff
# An unprivileged user: the image has no user list and no file that this user can write.
USER 65532:65532
# In IPv6 networks: --env BFF_SERVER__LISTEN=[::]:8080, which accepts IPv4 too. Not the default, because [::] can't be bound
# if IPv6 is disabled.
ENV BFF_SERVER__LISTEN=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/engage-bff", "healthcheck"]
ENTRYPOINT ["/engage-bff"]
CMD ["serve"]
