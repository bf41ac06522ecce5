// Nothing here may name another host: the page's policy would refuse it, and the reference would show an error.
Scalar.createApiReference("#reference", {
  url: "/v1/openapi.json",
  baseServerURL: location.origin,
  proxyUrl: "",
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  persistAuth: false,
  defaultOpenAllTags: true,
  metaData: { title: "Cloister API" },
});
