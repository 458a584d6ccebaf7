# syntax=docker/dockerfile:1
# One image for both containers of the DaemonSet. `docker build -t vpc-cni .`; the tests build it by the same steps
# without Docker (crates/lab/src/image.rs reads this file and knows no instruction that is not here).

FROM docker.io/library/rust:1.95-bookworm AS programs
WORKDIR /source
COPY . .
RUN cargo build --locked --release -p ipamd && cargo build --locked --profile plugin -p cni-plugin
RUN mkdir /programs && cp target/*-linux-gnu/release/ipamd target/*-linux-gnu/plugin/aws-cni /programs/

FROM docker.io/library/debian:bookworm-slim AS root
RUN apt-get update && apt-get install -y --no-install-recommends binutils nftables ca-certificates containernetworking-plugins
COPY --from=programs /programs /programs
COPY deploy/image /source/deploy/image
COPY LICENSE /source/LICENSE
RUN /source/deploy/image/assemble /programs /root

FROM scratch
COPY --from=root /root /
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin
LABEL org.opencontainers.image.title=vpc-cni
LABEL org.opencontainers.image.licenses=Apache-2.0
ENTRYPOINT ["/app/ipamd"]
