const place = document.querySelector("main");
// What scrolls by itself has to be reachable by keyboard.
const reachable = () => {
  for (const each of place.querySelectorAll("pre:not([tabindex])")) each.tabIndex = 0;
};
new MutationObserver(reachable).observe(place, {childList: true, subtree: true});
Redoc.init(
  "/reference/openapi.json",
  {
    nativeScrollbars: true,
    expandResponses: "200",
    downloadUrls: [
      {title: "openapi.yaml", url: "/openapi.yaml"},
      {title: "openapi.json", url: "/openapi.json"},
    ],
    theme: {typography: {fontFamily: "system-ui, sans-serif", headings: {fontFamily: "system-ui, sans-serif"}}},
  },
  place,
);
