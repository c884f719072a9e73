// What is checked of the page's modules: eslint loki_twisted/page. Nothing is built.

const BROWSER = [
  "AbortController", "AbortSignal", "Blob", "Intl", "MutationObserver", "ResizeObserver",
  "TextDecoderStream", "URL", "URLSearchParams", "addEventListener", "clearTimeout", "console",
  "crypto", "document", "fetch", "getComputedStyle", "localStorage", "location", "matchMedia",
  "performance", "queueMicrotask", "requestAnimationFrame", "scrollTo", "sessionStorage",
  "setInterval", "setTimeout",
];

export default [
  { ignores: ["loki_twisted/page/vendor/**", "docs/_build/**"] },
  {
    files: ["loki_twisted/page/*.js"],
    languageOptions: {
      ecmaVersion: 2024,
      sourceType: "module",
      globals: Object.fromEntries(BROWSER.map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      "consistent-return": "error",
      "eqeqeq": ["error", "always", { null: "ignore" }],
      "max-lines": ["error", 300],
      "max-lines-per-function": ["error", 80],
      "no-console": "error",
      "no-duplicate-imports": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-loss-of-precision": "error",
      "no-shadow": "error",
      "no-undef": "error",
      "no-unreachable": "error",
      "no-unused-vars": "error",
      "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
      "no-useless-return": "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
];
