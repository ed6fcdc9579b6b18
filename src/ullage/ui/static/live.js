"use strict";
// Draws the memory of a run under way, and asks again until it has ended. What it shows stands in a table beside it.
(() => {
  const place = document.getElementById("live")
  if (!place || !window.uPlot) return
  const AGAIN = 2000 // milliseconds
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8A8A"]
  let plot = null
  let drawn = ""

  const width = () => Math.max(place.clientWidth, 200)

  function draw(found) {
    const data = [found.seconds, ...found.lines.map(line => line.values)]
    const names = JSON.stringify(found.lines.map(line => line.name))
    if (plot && names === drawn) {
      plot.setData(data)
      return
    }
    plot?.destroy()
    drawn = names
    const ink = getComputedStyle(document.body).color
    const axis = {stroke: ink, grid: {stroke: "#8a919b44"}, ticks: {stroke: "#8a919b"}}
    const series = found.lines.map((line, at) => ({
      label: line.name, stroke: COLOURS[at % COLOURS.length], width: 2, spanGaps: true,
      dash: line.dashed ? [6, 4] : undefined, points: {show: false},
    }))
    plot = new uPlot({
      width: width(), height: 260, scales: {x: {time: false}},
      axes: [{...axis, label: "seconds"}, {...axis, label: found.unit}],
      series: [{label: "seconds"}, ...series],
    }, data, place)
  }

  async function look() {
    let state = "running"
    try {
      const answer = await fetch(place.dataset.timeline)
      if (answer.ok) {
        const found = await answer.json()
        state = found.state
        if (found.seconds.length) draw(found)
      }
    } catch {
      // The server has gone; it may come back.
    }
    if (state === "running") setTimeout(look, AGAIN)
  }

  addEventListener("resize", () => plot?.setSize({width: width(), height: 260}))
  look()
})()
