// Bands and groups: who has the cores, and how long work waits for them. Loaded first: what all parts
// of the page use is here, too.
'use strict';

const at = (id) => document.getElementById(id);
const count = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const colours = ['#7fae45', '#d98e32', '#4a90c2', '#b05fb5', '#c0504d', '#3fa796'];
const bandColours = ['#8a8f80', '#7fae45', '#4a90c2', '#3fa796', '#6f7fc9', '#9ab5d6',
  '#d98e32', '#c0504d', '#b05fb5', '#a98467'];
const shares = [];
const sharesKept = 150;

// A pen for a canvas in the page's own colours and the screen's own resolution.
function canvas(element) {
  const scale = window.devicePixelRatio || 1;
  const width = element.clientWidth, height = element.clientHeight;
  if (element.width !== Math.round(width * scale)) element.width = Math.round(width * scale);
  if (element.height !== Math.round(height * scale)) element.height = Math.round(height * scale);
  const pen = element.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '12px system-ui';
  pen.fillStyle = getComputedStyle(document.body).color;
  return { pen, width, height };
}

function time(ns) {
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(ns < 1e4 ? 1 : 0)} µs`;
  if (ns < 1e9) return `${(ns / 1e6).toFixed(ns < 1e7 ? 1 : 0)} ms`;
  return `${(ns / 1e9).toFixed(1)} s`;
}

function percent(part) { return `${(100 * part).toFixed(part && part < 0.1 ? 1 : 0)} %`; }

function cells(row, values) {
  for (const value of values) {
    const cell = document.createElement('td');
    cell.textContent = value;
    row.append(cell);
  }
}

function drawShares() {
  const { pen, width, height } = canvas(at('shares'));
  const step = width / (sharesKept - 1);
  const bands = shares.length ? shares[0].length : 0;
  const base = shares.map(() => 0);
  for (let band = bands - 1; band >= 0; band -= 1) {
    pen.fillStyle = bandColours[band];
    pen.beginPath();
    const x = (i) => width - (shares.length - 1 - i) * step;
    const y = (part) => height - part * (height - 6);
    shares.forEach((parts, i) => pen.lineTo(x(i), y(base[i] + parts[band])));
    for (let i = shares.length - 1; i >= 0; i -= 1) pen.lineTo(x(i), y(base[i]));
    pen.fill();
    shares.forEach((parts, i) => { base[i] += parts[band]; });
  }
}

function showBands(state, before, seconds) {
  const spent = seconds * 1e9 * state.cores.length;
  shares.push(state.bands.map((band, i) => Math.min(1, (band.run_ns - before.bands[i].run_ns) / spent)));
  if (shares.length > sharesKept) shares.shift();
  drawShares();
  const recent = shares.slice(-10);
  const rows = [];
  state.bands.forEach((band, i) => {
    if (!band.run_ns && !band.ready) return;
    const rate = (name) => (band[name] - before.bands[i][name]) / seconds;
    const share = recent.reduce((sum, parts) => sum + parts[i], 0) / recent.length;
    const row = document.createElement('tr');
    const waits = ['p50', 'p99', 'p999'].map((p) => band.wait.count ? time(band.wait[p]) : '–');
    cells(row, [band.name.replaceAll('_', ' '), percent(share), band.ready, count.format(rate('tasks')),
      ...waits, count.format(rate('preemptions')), band.frames ? count.format(rate('frames')) : '–',
      band.frames ? count.format(band.missed) : '–']);
    row.firstChild.style.setProperty('--key', bandColours[i]);
    row.firstChild.className = 'key';
    rows.push(row);
  });
  at('bands').replaceChildren(...rows);

  at('watching').hidden = !state.watched.length;
  at('watched').replaceChildren(...state.watched.map((task) => {
    const earlier = before.watched.find((other) => other.name === task.name);
    const rate = (name) => earlier ? count.format(Math.max(0, task[name] - earlier[name]) / seconds) : '–';
    const times = (of, parts) => parts.map((part) => of.count ? time(of[part]) : '–');
    const row = document.createElement('tr');
    cells(row, [task.watched ? task.name : `${task.name} (ended)`, rate('tasks'),
      ...times(task.wait, ['p50', 'p99', 'p999']), ...times(task.run, ['p50', 'p99', 'max']),
      rate('preemptions'), count.format(task.moves),
      ...['frames', 'missed'].map((name) => task.frames ? count.format(task[name]) : '–')]);
    return row;
  }));

  at('groups').replaceChildren(...state.groups.map((group) => {
    const earlier = before.groups.find((other) => other.name === group.name);
    const part = (now, then) => earlier ? percent(Math.max(0, now - then) / spent) : '–';
    const row = document.createElement('tr');
    cells(row, [group.name, group.foreground ? 'foreground' : 'background', group.weight,
      group.guarantee_permille ? percent(group.guarantee_permille / 1000) : '–',
      group.limit_permille ? percent(group.limit_permille / 1000) : '–',
      part(group.frame_ns, earlier && earlier.frame_ns),
      ...group.run_ns.map((ns, i) => part(ns, earlier && earlier.run_ns[i])), group.overruns]);
    return row;
  }));
}

// A trace goes to Perfetto's page through a message, as its documentation says; nothing is uploaded.
function openInPerfetto(buffer) {
  const origin = 'https://ui.perfetto.dev';
  const other = window.open(origin);
  if (!other) { at('recorded').textContent = 'the browser did not open a window'; return; }
  const timer = setInterval(() => other.postMessage('PING', origin), 50);
  window.addEventListener('message', function answer(event) {
    if (event.origin !== origin || event.data !== 'PONG') return;
    clearInterval(timer);
    window.removeEventListener('message', answer);
    other.postMessage({ perfetto: { buffer, title: 'Lichen', fileName: 'lichen.pftrace' } }, origin);
  });
}

async function record() {
  const said = at('recorded');
  at('record').disabled = true;
  said.textContent = 'recording …';
  try {
    const response = await fetch('/trace?seconds=2');
    if (!response.ok) throw new Error(response.statusText);
    const buffer = await response.arrayBuffer();
    said.textContent = `${count.format(buffer.byteLength / 1024)} KiB`;
    at('download').href = URL.createObjectURL(new Blob([buffer]));
    at('download').download = 'lichen.pftrace';
    at('perfetto').onclick = () => openInPerfetto(buffer);
    at('download').hidden = at('perfetto').hidden = false;
  } catch (error) {
    said.textContent = `that failed: ${error.message}`;
  }
  at('record').disabled = false;
}

at('record').addEventListener('click', record);
