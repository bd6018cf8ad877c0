# podgraft alone: a static binary, no shell, no libc, no user names.
FROM rust:1.95-alpine AS build
# Headers and a C compiler for aws-lc; the target of this image's Rust is musl, linked statically.
RUN apk add --no-cache build-base linux-headers
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin podgraft && cp target/release/podgraft /podgraft

FROM scratch
COPY LICENSE /LICENSE
COPY --from=build /podgraft /podgraft
USER 65532:65532
ENTRYPOINT ["/podgraft"]
CMD ["serve"]
