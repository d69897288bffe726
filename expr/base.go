package expr

import (
	"fmt"
	"maps"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/containers"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/ext"
)

// Limits on one expression, checked when it is compiled. They bound what an
// expression can cost per event, and what compiling one can cost.
const (
	// maxSize bounds the text, in code points. The longest lists of constants
	// that people paste are a few thousand; longer ones belong in a table.
	maxSize = 16 << 10
	// maxDepth bounds nesting, and so the stack that evaluation needs.
	maxDepth = 100
	// maxNodes bounds the nodes of the syntax tree, and so the cost of an
	// expression without macros.
	maxNodes = 4000
	// maxLoops bounds macros over lists inside of each other. Each level
	// multiplies the cost by the length of a list: two levels over a run of
	// 10,000 events are 100 million steps already.
	maxLoops = 2
	// maxRegexp bounds the compiled size of a regular expression, which has
	// cost in its match time.
	maxRegexp = 2000
	// maxRange bounds the lists that lists.range makes.
	maxRange = 1000
)

// base is what all expressions share: the language without any names.
var base = newBase()

type baseEnvironment struct {
	env       *cel.Env
	checker   *checker.Env
	functions map[string]*decls.FunctionDecl
}

// newBase builds the language. A mistake in it is one of this program.
func newBase() *baseEnvironment {
	opts := []cel.EnvOption{
		cel.OptionalTypes(cel.OptionalTypesVersion(1)), // later versions claim first and last
		ext.Strings(ext.StringsVersion(4)),
		ext.Math(),
		ext.Lists(ext.ListsMaxRangeSize(maxRange)),
		ext.Sets(),
		ext.Regex(),
		cel.EnableIdentifierEscapeSyntax(),
		cel.EnableMacroCallTracking(),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxSize),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxRegexp),
		cel.CustomTypeAdapter(libAdapter),
	}
	opts = append(opts, operatorFunctions()...)
	opts = append(opts, listFunctions()...)
	opts = append(opts, eventFunctions()...)
	opts = append(opts, tableFunctions()...)
	env, err := cel.NewEnv(opts...)
	if err != nil {
		panic(fmt.Sprintf("expr: the language: %v", err))
	}
	b := &baseEnvironment{env: env, functions: env.Functions()}
	b.checker, err = checker.NewEnv(containers.DefaultContainer, env.CELTypeProvider(), checker.CrossTypeNumericComparisons(true))
	if err != nil {
		panic(fmt.Sprintf("expr: the checker: %v", err))
	}
	for _, name := range slices.Sorted(maps.Keys(b.functions)) {
		if f := b.functions[name]; !f.IsDeclarationDisabled() {
			if err := b.checker.AddFunctions(f); err != nil {
				panic(fmt.Sprintf("expr: function %s: %v", name, err))
			}
		}
	}
	return b
}
