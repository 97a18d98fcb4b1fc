# One node. Anything that `kvorum serve` takes can be set as KVORUM_* variables; see docs/configuration.md.
ARG BASE_IMAGE=node:24-bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Without scripts: the only one fetches a Node binary, and the base image has its own.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN node_modules/.bin/tsc -p tsconfig.build.json && npm prune --omit=dev --ignore-scripts --no-audit --no-fund
RUN mkdir /data

FROM ${BASE_IMAGE}
ENV NODE_ENV=production KVORUM_HOST=0.0.0.0 KVORUM_PORT=6380 KVORUM_HTTP_PORT=7380 KVORUM_DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build --chown=node:node /data /data
USER node
VOLUME /data
EXPOSE 6380 7380
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.KVORUM_HTTP_PORT}/health`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# In exec form, so that SIGTERM reaches the node, which then hands its leadership over.
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["serve"]
