# podgraft alone: a static binary and the authorities that it trusts; no shell, no libc, no user names.
# deploy/image builds what the last stage says without a container engine.
FROM rust:1.95-alpine AS build
# Headers and a C compiler for aws-lc; the target of this image's Rust is musl, linked statically. The rest is
# deploy/profiled's, which builds the program, asks it, and builds it again with what requests take next to each other.
RUN apk add --no-cache bash build-base ca-certificates curl linux-headers && rustup component add llvm-tools
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    deploy/profiled build --locked --release --bin podgraft && cp target/profiled/build/*/release/podgraft /podgraft

FROM scratch
LABEL org.opencontainers.image.title="podgraft"
LABEL org.opencontainers.image.description="A mutating admission webhook for Kubernetes that grafts init containers and sidecars onto pods that ask by annotation"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
COPY --chmod=644 LICENSE /LICENSE
COPY --chmod=644 --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chmod=755 --from=build /podgraft /podgraft
USER 65532:65532
ENTRYPOINT ["/podgraft"]
CMD ["serve"]
