(run) => {
  // The address names the run, so that a reload, a bookmark or a link finds it; live.js shows it.
  const url = new URL(window.location);
  for (const name of [...url.searchParams.keys()]) if (name !== '__theme') url.searchParams.delete(name);  // settings are in the form now
  if (run) url.searchParams.set('run', run);
  window.history.replaceState(null, '', url);
  document.dispatchEvent(new CustomEvent('mtl-run', {detail: run}));
  url.searchParams.delete('__theme');
  const host = 'SPACE_HOST';  // filled in by the server, as this address may be that of a page around the Space; empty elsewhere
  return !run ? '' : host ? `https://${host}/?run=${run}` : url.href;
}
