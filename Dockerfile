# syntax=docker/dockerfile:1
# One image for both containers of the DaemonSet: `docker build -t vpc-cni:v0.1.0 .`. The tests build it by the same steps
# without Docker (crates/lab/src/image.rs reads this file and knows no instruction and no kind of step but these).

FROM docker.io/library/rust:1.95.0-bookworm AS programs
# The toolchain of the image, instead of whatever is the stable one today (rust-toolchain.toml).
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /source
COPY . .
RUN cargo build --locked --release -p ipamd && cargo build --locked --profile plugin -p cni-plugin
RUN mkdir /programs && cp target/*-linux-gnu/release/ipamd target/*-linux-gnu/plugin/aws-cni /programs/

# The same release of Debian as above and on the machines that test.
FROM docker.io/library/debian:bookworm-slim AS root
RUN apt-get update && apt-get install -y --no-install-recommends binutils nftables ca-certificates containernetworking-plugins
COPY --from=programs /programs /programs
COPY deploy/image /source/deploy/image
COPY LICENSE /source/LICENSE
RUN /source/deploy/image/assemble /programs /image

FROM scratch
COPY --from=root /image /
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin
LABEL org.opencontainers.image.title=vpc-cni
LABEL org.opencontainers.image.version=0.1.0
LABEL org.opencontainers.image.licenses=Apache-2.0
ENTRYPOINT ["/app/ipamd"]
