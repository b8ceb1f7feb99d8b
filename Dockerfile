# syntax=docker/dockerfile:1
#
#   docker build -t estd .
#   docker run --rm -v estd-config:/etc/estd -v estd-data:/var/lib/estd estd init /etc/estd --dns est.example.com --data-dir /var/lib/estd
#   docker run -d -p 8443:8443 -v estd-config:/etc/estd -v estd-data:/var/lib/estd --stop-timeout 40 estd

FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package estd && strip target/release/estd
RUN mkdir -p /image/etc/estd /image/var/lib/estd && chmod 0700 /image/var/lib/estd

# The same libc as the build; nothing is installed on top.
FROM debian:trixie-slim
COPY --from=build /src/target/release/estd /usr/local/bin/estd
# Whom receivers of webhooks are vouched for by.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# Empty volumes take owner and mode from here, so that the server may write to them.
COPY --from=build --chown=65532:65532 /image/ /
USER 65532:65532
VOLUME ["/etc/estd", "/var/lib/estd"]
EXPOSE 8443
# SIGTERM drains (`drain` in the configuration: give it time), `docker kill --signal=HUP` reloads.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/estd"]
CMD ["serve", "--config", "/etc/estd/config.toml"]
