export default {
  api: {
    input: { target: "openapi.json" },
    output: { target: "generated/api.ts", client: "fetch", baseUrl: process.env.BASE },
  },
};
