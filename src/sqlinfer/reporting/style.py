"""The page's style and its two scripts. They are allowed by their hashes, nothing else is."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2430;--soft:#5a6675;--line:#d5dbe3;--card:#f6f8fa;--a:#0a63c9;
--b:#b3bdc9;--bad:#b3261e;--model:#e6eef9;--prediction:#0a63c9;--function:#f2e4fb;--source:#e8f3e8}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#e6eaf0;--soft:#9aa6b5;--line:#323b47;--card:#1a2029;
--a:#6cb0ff;--b:#566273;--bad:#ff8a80;--model:#22324a;--prediction:#2f6fc0;--function:#40294f;--source:#233a26}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1280px;padding:1rem 1.25rem 4rem;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.4rem 0 0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}h3{font-size:1rem;display:inline}
header p,small,.key,caption{color:var(--soft)}
small{font-size:.85em;font-weight:400}
a{color:var(--a)}a:focus-visible,summary:focus-visible,[tabindex]:focus-visible{outline:2px solid var(--a);
outline-offset:2px}
nav a{margin-right:1rem}
.skip{position:absolute;left:-999px}.skip:focus{left:1rem;background:var(--bg);padding:.3rem .6rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:.6rem;margin:1rem 0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.5rem .8rem}
dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-size:1.15rem;font-weight:600}dd small{display:block}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,390px),1fr));gap:1rem}
figure{margin:0;min-width:0}figcaption{font-weight:600;margin-bottom:.2rem;overflow-wrap:anywhere}
.chart{width:100%;height:auto;display:block}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}
.end{text-anchor:end}.mid{text-anchor:middle}
.a{fill:var(--a)}.b{fill:var(--b)}.line{fill:none;stroke:var(--a);stroke-width:1.5}
.axis{fill:none;stroke:var(--line)}.limit{fill:none;stroke:var(--bad);stroke-dasharray:4 3}
.key{font-weight:400;font-size:.85em;white-space:nowrap}.key i{display:inline-block;width:.7em;height:.7em;
margin:0 .3em 0 .6em}.ka{background:var(--a)}.kb{background:var(--b)}
.wide{overflow:auto;max-width:100%;max-height:24rem}.wide:has(.graph){max-height:44rem}
.graph .edge{fill:none;stroke:var(--soft);stroke-opacity:.55}.graph .call{stroke-dasharray:4 3;stroke-opacity:.25}
.graph text{fill:var(--fg);font-size:12px}.box{fill:var(--card);stroke:var(--line)}
.box.model{fill:var(--model)}.box.function{fill:var(--function)}.box.source,.box.seed{fill:var(--source)}
.box.prediction{fill:var(--model);stroke:var(--prediction);stroke-width:2}
.graph a:hover rect,.graph a:focus rect{stroke:var(--a);stroke-width:2.5}.graph a:focus{outline:none}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5rem 0}
caption{text-align:left;padding:.2rem 0}
th,td{padding:.2rem .8rem .2rem 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child{text-align:left}tbody th{font-weight:400;max-width:26rem;overflow:hidden;text-overflow:ellipsis}
td strong{color:var(--bad)}
.meter{width:120px;height:10px;display:block}
details.card{border:1px solid var(--line);border-radius:8px;padding:.5rem .9rem;margin:.6rem 0;
content-visibility:auto;contain-intrinsic-size:auto 44px}
details.card[open]{contain-intrinsic-size:auto 420px}
details.card>summary span{color:var(--soft);margin:0 .6rem}
details.card>summary+*{margin-top:.6rem}
details.node{border-bottom:1px solid var(--line);padding:.25rem 0}
details.node:target>summary{font-weight:600}
summary{cursor:pointer;overflow-wrap:anywhere}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem;overflow-x:auto;
max-height:32rem;font-size:13px;line-height:1.4}
@media print{:root{color-scheme:light;--bg:#fff;--fg:#000;--soft:#444;--line:#bbb;--card:#fff;--a:#0a63c9;--b:#b3bdc9;
--model:#e6eef9;--function:#f2e4fb;--source:#e8f3e8;--bad:#b3261e}
body{max-width:none;padding:0;font-size:11px}nav,.skip,#nodes{display:none}
.wide,pre{overflow:visible;max-height:none}.graph{width:100%;height:auto}
.card{content-visibility:visible!important}figure,tr,.tiles div{break-inside:avoid}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
"""

OPENING = """
function reveal(){const at=document.getElementById(location.hash.slice(1));
if(at&&at.tagName==='DETAILS'){at.open=true;at.scrollIntoView();at.querySelector('summary').focus({preventScroll:true})}}
addEventListener('hashchange',reveal);reveal();
document.addEventListener('click',e=>{const a=e.target.closest&&e.target.closest('a[href^="#"]');
if(a&&a.getAttribute('href')===location.hash)reveal()});
addEventListener('beforeprint',()=>{for(const one of document.querySelectorAll('details.card'))one.open=true});
"""
"""A link to what is folded opens it; charts are open where they are printed."""

LIVE = """
const shown=document.documentElement.dataset.version;
setInterval(async()=>{if(document.hidden)return;try{const found=await fetch('version',{cache:'no-store'});
if(found.ok&&(await found.text())!==shown)location.reload()}catch(e){}},2000);
"""
"""The page is loaded again when there is another one."""
