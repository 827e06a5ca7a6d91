// Shows the state that /events streams, and the tasks that /api/tasks lists.
'use strict';

const history = [];
const kept = 120;
let before = null;

function duration(ns) {
  const seconds = Math.floor(ns / 1e9);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
  return `${n.toFixed(unit ? 1 : 0)} ${units[unit]}`;
}

function draw() {
  const { pen, width, height } = canvas(at('chart'));
  const top = Math.max(1, ...history.flat());
  pen.fillText(`${count.format(top)} /s`, 8, 16);
  const cores = history.length ? history[history.length - 1].length : 0;
  for (let core = 0; core < cores; core += 1) {
    pen.strokeStyle = colours[core % colours.length];
    pen.lineWidth = 2;
    pen.beginPath();
    history.forEach((rates, i) => {
      const x = width - (history.length - 1 - i) * (width / (kept - 1));
      const y = height - 6 - (rates[core] || 0) / top * (height - 30);
      if (i) pen.lineTo(x, y); else pen.moveTo(x, y);
    });
    pen.stroke();
  }
}

function show(state) {
  at('uptime').textContent = duration(state.uptime_ns);
  at('requests').textContent = count.format(state.http.requests);
  at('open').textContent = count.format(state.http.open);
  at('tasks').textContent = count.format(state.tasks);
  at('memory').textContent = bytes(state.memory.used);
  if (before) {
    const seconds = (state.uptime_ns - before.uptime_ns) / 1e9;
    const rate = (core, name) => (state.cores[core][name] - before.cores[core][name]) / seconds;
    const all = state.cores.map((_, i) => i);
    at('calls').textContent = count.format(all.reduce((sum, i) => sum + rate(i, 'system_calls'), 0));
    at('cores').replaceChildren(...all.map((i) => {
      const core = state.cores[i];
      const row = document.createElement('tr');
      cells(row, [i, count.format(rate(i, 'tasks_run')), core.ready, core.timers,
        count.format(rate(i, 'parks')), count.format(rate(i, 'preemptions')), core.stalls, core.stolen, count.format(rate(i, 'operations')),
        core.in_flight, core.sockets]);
      return row;
    }));
    showBands(state, before, seconds);
    history.push(all.map((i) => rate(i, 'tasks_run')));
    if (history.length > kept) history.shift();
    draw();
  }
  if (state.demo) showFrames(state, before);
  before = state;
  document.body.dataset.updates = Number(document.body.dataset.updates || 0) + 1;
}

async function showTasks() {
  const tasks = await (await fetch('/api/tasks?limit=60')).json();
  at('stacks').replaceChildren(...tasks.map((task) => {
    const details = document.createElement('details');
    const summary = document.createElement('summary');
    const stack = document.createElement('pre');
    const short = (line) => line.file.split('/').slice(-2).join('/') + ':' + line.line;
    const first = task.stack[0];
    summary.textContent = (task.name ? `${task.name}: ` : '') +
      (first ? `${task.state} at ${short(first)}` : task.state);
    details.style.marginLeft = `${task.depth * 1.2}rem`;
    stack.textContent = task.stack
      .map((line) => `${line.kind === 'awaits' ? 'at' : 'spawned at'} ${short(line)}  ${line.function}`)
      .join('\n');
    details.append(summary, stack);
    return details;
  }));
}

function connect() {
  const source = new EventSource('/events?every=200');
  source.onopen = () => { at('link').className = 'on'; at('link').textContent = 'live'; };
  source.onmessage = (event) => show(JSON.parse(event.data));
  source.onerror = () => { at('link').className = 'off'; at('link').textContent = 'connection lost, trying again'; before = null; firstDue = Infinity; };
}

at('refresh').addEventListener('click', showTasks);
connect();
showTasks();
