export default {
  input: "openapi.json",
  output: { path: "generated", importFileExtension: ".js" }, // as Node.js and NodeNext need it
};
