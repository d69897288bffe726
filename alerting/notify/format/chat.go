package format

import (
	"fmt"
	"strings"
)

// Slack: an incoming webhook takes a text, which notifications show, and
// attachments with a colour, made of blocks. A text of a block has 3,000
// characters at most.
type (
	slackMessage struct {
		Text        string            `json:"text"`
		Attachments []slackAttachment `json:"attachments"`
	}
	slackAttachment struct {
		Color  string       `json:"color"`
		Blocks []slackBlock `json:"blocks"`
	}
	slackBlock struct {
		Type     string      `json:"type"`
		Text     *slackText  `json:"text,omitempty"`
		Elements []slackText `json:"elements,omitempty"`
	}
	slackText struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
)

// slackEscapes are of the characters by which Slack knows mentions and links.
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackEscaped escapes s, and cuts what becomes longer than most by that.
func slackEscaped(s string, most int) string {
	return slackEscapes.Replace(cutWhere(s, most, func(r rune) int { return len(slackEscapes.Replace(string(r))) }))
}

func slack(n note) any {
	const most = 2900
	var blocks []slackBlock
	for _, s := range []string{slackEscaped(joined(n.details, n.runbook), most), fenced(slackEscaped(n.evidence, most))} {
		if s != "" {
			blocks = append(blocks, slackBlock{Type: "section", Text: &slackText{"mrkdwn", s}})
		}
	}
	blocks = append(blocks, slackBlock{Type: "context", Elements: []slackText{{"mrkdwn", slackEscaped(n.facts, most)}}})
	return slackMessage{
		Text:        slackEscaped(n.headline(), most),
		Attachments: []slackAttachment{{Color: fmt.Sprintf("#%06x", n.look.color), Blocks: blocks}},
	}
}

// Discord: a webhook takes a content of 2,000 characters, which notifications
// show, and embeds with a colour, whose texts have 6,000 together, of them a
// description 4,096 and a footer 2,048. Without allowed_mentions, @everyone in a
// content would call everyone.
type (
	discordMessage struct {
		Content         string          `json:"content"`
		Embeds          []discordEmbed  `json:"embeds"`
		AllowedMentions discordMentions `json:"allowed_mentions"`
	}
	discordEmbed struct {
		Description string        `json:"description,omitempty"`
		Color       int           `json:"color"`
		Footer      discordFooter `json:"footer"`
		Timestamp   string        `json:"timestamp"`
	}
	discordFooter struct {
		Text string `json:"text"`
	}
	discordMentions struct {
		Parse []string `json:"parse"`
	}
)

func discord(n note) any {
	return discordMessage{
		Content: cut(n.headline(), 2000),
		Embeds: []discordEmbed{{
			Description: joined(cut(joined(n.details, n.runbook), 2000), fenced(cut(n.evidence, 2000))),
			Color:       n.look.color,
			Footer:      discordFooter{cut(n.facts, 1500)},
			Timestamp:   n.time.String(),
		}},
		AllowedMentions: discordMentions{[]string{}},
	}
}

// Teams: a workflow that begins "when a Teams webhook request is received" takes
// messages with Adaptive Cards, of 28 KB at most.
type (
	teamsMessage struct {
		Type        string            `json:"type"`
		Attachments []teamsAttachment `json:"attachments"`
	}
	teamsAttachment struct {
		ContentType string    `json:"contentType"`
		ContentURL  *string   `json:"contentUrl"`
		Content     teamsCard `json:"content"`
	}
	teamsCard struct {
		Schema  string            `json:"$schema"`
		Type    string            `json:"type"`
		Version string            `json:"version"`
		Body    []teamsBlock      `json:"body"`
		Actions []teamsAction     `json:"actions,omitempty"`
		Teams   map[string]string `json:"msteams"`
	}
	teamsBlock struct {
		Type     string `json:"type"`
		Text     string `json:"text"`
		Wrap     bool   `json:"wrap"`
		Weight   string `json:"weight,omitempty"`
		Color    string `json:"color,omitempty"`
		FontType string `json:"fontType,omitempty"`
		IsSubtle bool   `json:"isSubtle,omitempty"`
	}
	teamsAction struct {
		Type  string `json:"type"`
		Title string `json:"title"`
		URL   string `json:"url"`
	}
)

func teams(n note) any {
	var blocks []teamsBlock
	for _, b := range []teamsBlock{
		{Text: cut(n.title, 500), Weight: "bolder", Color: n.look.card},
		{Text: cut(n.summary, 1000)},
		{Text: paragraphs(cut(n.details, 2000))},
		{Text: paragraphs(strings.ReplaceAll(cut(n.evidence, 2000), "  ", "\u00a0\u00a0")), FontType: "monospace"}, // columns stay
		{Text: cut(n.facts, 1000), IsSubtle: true},
	} {
		if b.Text != "" {
			b.Type, b.Wrap = "TextBlock", true
			blocks = append(blocks, b)
		}
	}
	card := teamsCard{
		Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
		Body: blocks, Teams: map[string]string{"width": "Full"},
	}
	if link := n.link(); link != "" {
		card.Actions = []teamsAction{{"Action.OpenUrl", "Runbook", link}}
	}
	return teamsMessage{Type: "message", Attachments: []teamsAttachment{{ContentType: "application/vnd.microsoft.card.adaptive", Content: card}}}
}

// paragraphs makes each line a paragraph: a card joins lines, as Markdown does.
func paragraphs(s string) string { return strings.ReplaceAll(s, "\n", "\n\n") }
