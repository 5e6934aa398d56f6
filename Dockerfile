# The service's image: one static binary, nothing else.
#
#   docker build --tag engage-bff .          (or: podman build --format docker --tag engage-bff .)
#
# `--format docker` keeps the HEALTHCHECK, which the OCI format has no place for.
# scripts/container builds the last stage alone from a binary built outside, runs it and tries it.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Naming the target keeps the static flag away from macros and build scripts, which cannot be static.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
  && RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --package engage-bff --bin engage-bff --target "$target" \
  && cp "target/$target/release/engage-bff" /engage-bff

FROM scratch AS service
LABEL org.opencontainers.image.title="engage-bff" \
      org.opencontainers.image.description="A caching backend-for-frontend for Voyado Engage" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /engage-bff /engage-bff
# Nobody: there is no user list in the image, and no file that this user could write.
USER 65532:65532
# Where the network is of IPv6: --env BFF_SERVER__LISTEN=[::]:8080, which answers by IPv4 too. The default stays with IPv4,
# for [::] can't be bound where IPv6 is switched off.
ENV BFF_SERVER__LISTEN=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/engage-bff", "healthcheck"]
ENTRYPOINT ["/engage-bff"]
CMD ["serve"]
