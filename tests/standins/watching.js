// Watches event streams with an EventSource, in a browser or in Node, and tells all that it sees.
//
// The EventSource comes back by itself from a connection that broke. It gives up for good where
// it is answered with an error, as by a proxy whose server is away; then a new one goes on
// where the last one was, as a page has to do it.

function watch(EventSource, streams, types, tell) {
  function open(name, url, lastEventId) {
    const target = new URL(url);
    if (lastEventId) target.searchParams.set("lastEventId", lastEventId);
    const source = new EventSource(target.href);
    let newest = lastEventId;
    source.onopen = () => tell({ name, kind: "open" });
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      tell({ name, kind: "closed" });
      setTimeout(() => open(name, url, newest), 500);
    };
    for (const type of types) {
      source.addEventListener(type, (event) => {
        newest = event.lastEventId || newest;
        tell({ name, kind: "event", type, id: event.lastEventId, data: event.data });
      });
    }
  }
  for (const [name, url] of Object.entries(streams)) open(name, url, null);
}

if (typeof module !== "undefined") {
  const { EventSource } = require("eventsource");
  const { streams, types } = JSON.parse(process.argv[2]);
  watch(EventSource, streams, types, (seen) => process.stdout.write(JSON.stringify(seen) + "\n"));
}
