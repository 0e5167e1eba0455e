# The server and its client in one small image.
#
# Both base images are arguments, so that a mirror, a pinned digest or an image of your own can stand
# in for them. Nothing here needs BuildKit.
ARG BUILD_IMAGE=rust:1-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
# Built outside the source tree and removed in the same step: the layer holds the two programs alone.
RUN cargo build --locked --release --target-dir /tmp/target --package doorbell-server --package doorbell-cli \
    && install -D --strip --target-directory=/out /tmp/target/release/doorbell-server /tmp/target/release/doorbell \
    && rm -r /tmp/target

FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="doorbell" \
      org.opencontainers.image.description="Server push, measured against polling" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
COPY --from=build /out/ /usr/local/bin/
# A number for the user, so that an orchestrator can see that it is not root. A new volume takes the
# folder's owner over.
RUN install --directory --owner=10001 --group=10001 /data
USER 10001:10001
VOLUME /data
# Within a container the loopback address would be out of everybody's reach.
ENV DOORBELL_HTTP=0.0.0.0:8080 \
    DOORBELL_TCP=0.0.0.0:1989 \
    DOORBELL_DATA=/data
EXPOSE 8080 1989
# Healthy is a server that answers and can store messages (/v1/health says 503 when it cannot). Bash
# opens the connection by itself, so the image needs no HTTP client.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["bash", "-c", \
    "exec 3<>\"/dev/tcp/127.0.0.1/${DOORBELL_HTTP##*:}\" && printf 'GET /v1/health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["doorbell-server"]
