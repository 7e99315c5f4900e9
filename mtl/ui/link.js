(run) => {
  // The address names the run, so that a reload, a bookmark or a link finds it.
  const url = new URL(window.location);
  run ? url.searchParams.set('run', run) : url.searchParams.delete('run');
  window.history.replaceState(null, '', url);
  url.searchParams.delete('__theme');
  return run ? url.href : '';
}
