// Sets the colour scheme before the first paint; a classic script in <head>, so that a dark page never flashes white.
// The choice (light, dark or system) lives in localStorage; app.js changes it through window.bantamTheme.
(() => {
  const key = 'bantam.theme';
  const read = () => { try { return localStorage.getItem(key) || 'system'; } catch { return 'system'; } };
  const apply = (choice) => {
    const dark = choice === 'dark' || (choice === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => apply(read()));
  apply(read());
  window.bantamTheme = {
    get: read,
    set(choice) { try { localStorage.setItem(key, choice); } catch { /* private window: lasts until reload */ } apply(choice); },
  };
})();
