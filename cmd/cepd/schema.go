package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/rules"
)

func schemaCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema [rules|config]",
		Short: "Print the JSON Schema of rule files or of cepd.yaml",
		Long: `Print the JSON Schema (draft-07) of rule files or, with config, of cepd.yaml.
Editors complete keys by it, say what they mean, and mark mistakes. Those that
run yaml-language-server read the first line of a file:

  # yaml-language-server: $schema=` + rules.SchemaID + `

'cepd check' finds what a schema cannot: mistakes in expressions, in names and
between files.`,
		Example: `  cepd schema > rules.schema.json
  cepd schema config > cepd.schema.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 1 && (args[0] == "rules" || args[0] == "config") {
				return nil
			}
			return fmt.Errorf("schema takes rules or config, and got %q", strings.Join(args, " "))
		},
		ValidArgs: []string{"rules", "config"},
		RunE: func(_ *cobra.Command, args []string) error {
			doc := rules.Schema()
			if len(args) > 0 && args[0] == "config" {
				doc = config.Schema()
			}
			_, err := fmt.Fprintf(s.out, "%s", doc)
			return err
		},
	}
}
