// For `require("glia-dev")`. Node's own require loads the module: a test runner's, as jest's, may not know how.
"use strict";
const { createRequire } = process.getBuiltinModule("node:module");
module.exports = createRequire(__filename)("./dist/index.js");
