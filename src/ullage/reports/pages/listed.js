// Filters, orders and searches the entries of each list, a few of them at a time, in the view that is chosen.
for (const place of document.querySelectorAll(".listed")) {
  const all = name => [...place.querySelectorAll(name)], get = name => place.querySelector(`[name=${name}]`)
  const list = place.querySelector(".entries"), more = get("more"), view = get("view"), order = get("order")
  const ones = all(".one").map(element => ({
    element, marks: JSON.parse(element.dataset.marks), ranks: JSON.parse(element.dataset.ranks),
    text: element.textContent.toLowerCase(),
  }))
  let filter = "all", most = 10
  const marks = one => one.marks[view.selectedIndex]
  const passes = (one, name) => marks(one) && (name === "all" || marks(one).includes(name))
  function show() {
    const sought = get("search").value.toLowerCase(), by = order.selectedIndex
    let shown = 0
    for (const one of [...ones].sort((a, b) => a.ranks[by] - b.ranks[by])) {
      one.element.className = ["one", ...(marks(one) || []).map(each => "is-" + each)].join(" ")
      const fits = passes(one, filter) && one.text.includes(sought)
      one.element.hidden = !fits || shown >= most
      shown += fits ? 1 : 0
      list.append(one.element)
    }
    more.hidden = shown <= most
    for (const each of all("[data-filter]")) {
      each.setAttribute("aria-pressed", each.dataset.filter === filter)
      each.lastElementChild.textContent = ones.filter(one => passes(one, each.dataset.filter)).length
    }
    for (const each of document.querySelectorAll("[data-view]")) each.hidden = each.dataset.view !== view.value
  }
  const again = () => { most = 10; show() }
  for (const each of all("[data-filter]")) each.onclick = () => { filter = each.dataset.filter; again() }
  order.onchange = get("search").oninput = again
  view.onchange = () => {
    for (const each of document.querySelectorAll("[data-view]")) each.open = true
    again()
  }
  more.onclick = () => { most += 40; show() }
  place.querySelector(".tools").hidden = false
  show()
}
