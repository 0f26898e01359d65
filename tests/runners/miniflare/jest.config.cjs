module.exports = { testMatch: ["**/jest.test.cjs"], transform: {} };
