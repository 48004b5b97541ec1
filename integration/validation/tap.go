// Package tap writes the Test Anything Protocol, version 13. The validation suite imports a package of this name that Debian
// does not have; this one has the calls that the suite makes, and writes structured data as JSON, which is YAML.
package tap

import (
	"encoding/json"
	"fmt"
	"strings"
)

// T counts the checks of one test.
type T struct {
	count int
	todo  bool
	// Of which this one is a view, for Todo.
	of *T
}

// New is a test that has said nothing yet.
func New() *T { return &T{} }

// Header opens the output; with a number of checks above zero it is the plan, too.
func (t *T) Header(checks int) {
	fmt.Println("TAP version 13")
	if checks > 0 {
		fmt.Printf("1..%d\n", checks)
	}
}

// AutoPlan says, at the end, how many checks there were.
func (t *T) AutoPlan() { fmt.Printf("1..%d\n", t.count) }

func (t *T) next() int {
	if t.of != nil {
		return t.of.next()
	}
	t.count++
	return t.count
}

// Ok is one check.
func (t *T) Ok(passed bool, description string) {
	word, directive := "not ok", ""
	if passed {
		word = "ok"
	}
	if t.todo {
		directive = " # TODO"
	}
	fmt.Printf("%s %d - %s%s\n", word, t.next(), description, directive)
}

// Pass is a check that holds.
func (t *T) Pass(description string) { t.Ok(true, description) }

// Fail is a check that does not hold.
func (t *T) Fail(description string) { t.Ok(false, description) }

// Skip counts checks that were not made, and says why.
func (t *T) Skip(checks int, reason string) {
	for ; checks > 0; checks-- {
		fmt.Printf("ok %d # SKIP %s\n", t.next(), reason)
	}
}

// Todo marks the checks that it makes as known to fail.
func (t *T) Todo() *T {
	of := t
	if t.of != nil {
		of = t.of
	}
	return &T{todo: true, of: of}
}

// Diagnostic is a comment.
func (t *T) Diagnostic(text string) {
	fmt.Printf("# %s\n", strings.ReplaceAll(text, "\n", "\n# "))
}

// Diagnosticf is a comment with a format.
func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML is what belongs to the last check.
func (t *T) YAML(value interface{}) error {
	text, err := json.Marshal(value)
	if err == nil {
		fmt.Printf("  ---\n  %s\n  ...\n", text)
	}
	return err
}
