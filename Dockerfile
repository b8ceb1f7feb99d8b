# syntax=docker/dockerfile:1
# docker build -t estd .
# docker run -v estd-config:/etc/estd -v estd-data:/var/lib/estd --rm estd init /etc/estd/new --dns est.example.com
# docker run -d -p 8443:8443 -v estd-config:/etc/estd:ro -v estd-data:/var/lib/estd --stop-timeout 40 estd

FROM rust:1.95-slim-trixie AS build
# The crypto backend is C: a compiler and cmake; nothing of them reaches the image below.
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package estd && strip target/release/estd

# libc, libgcc and nothing else: no shell, no package manager; runs as user 65532.
FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /src/target/release/estd /usr/local/bin/estd
# In config.toml: data_dir = "/var/lib/estd", listen = ["0.0.0.0:8443"]. Keys must belong to user 65532, mode 0600.
VOLUME ["/etc/estd", "/var/lib/estd"]
EXPOSE 8443
# SIGTERM drains (see `drain`), SIGHUP reloads: docker kill --signal=HUP.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/estd"]
CMD ["serve", "--config", "/etc/estd/config.toml"]
