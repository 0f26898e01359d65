// For `require("glia-dev")`. The module is loaded by Node itself: a test runner's own require, as jest's, may not know how.
"use strict";
const { pathToFileURL } = require("node:url");
const vm = require("node:vm");

const load = new vm.Script("(url) => import(url)", {
  importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
}).runInThisContext();

exports.createGlia = async (options) => {
  const { createGlia } = await load(pathToFileURL(`${__dirname}/dist/index.js`).href);
  return createGlia(options);
};
