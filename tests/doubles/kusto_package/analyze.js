// Prints what Microsoft's analyzer says against each query, as JSON by the query's name.
// Standard input: {"tables": {table: {column: type}}, "queries": {name: text}}.

const fs = require("fs");
require("@kusto/language-service-next/bridge.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.js");

const { tables, queries } = JSON.parse(fs.readFileSync(0, "utf8"));
const { GlobalState, KustoCode, Symbols } = Kusto.Language;

const known = new (System.Collections.Generic.List$1(Symbols.Symbol).ctor)();
for (const [name, columns] of Object.entries(tables)) {
  const schema = Object.entries(columns).map(([column, type]) => `${column}:${type}`);
  known.add(Symbols.TableSymbol.From(`(${schema.join(",")})`).WithName(name));
}
const workspace = new Symbols.DatabaseSymbol.$ctor3("workspace", null, known, false);
const globals = GlobalState.Default.WithDatabase(workspace);

const said = {};
for (const [name, text] of Object.entries(queries)) {
  const diagnostics = KustoCode.ParseAndAnalyze(text, globals).GetDiagnostics();
  said[name] = [];
  for (let at = 0; at < diagnostics.Count; at++) {
    said[name].push(diagnostics.getItem(at).Message);
  }
}
process.stdout.write(JSON.stringify(said));
