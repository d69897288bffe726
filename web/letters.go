package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// DeadLetters are the deliveries that were given up.
type DeadLetters interface {
	// AppendDeadLetters appends those after a number, as lines of JSON, at most
	// max, and returns the number of the last one; 0 if there is none.
	AppendDeadLetters(dst []byte, after uint64, max int) (lines []byte, last uint64, err error)
	// Retry puts letters back to where they were given up, and returns how many
	// it found.
	Retry(numbers []uint64) (int, error)
	// Purge forgets letters, and returns how many it found.
	Purge(numbers []uint64) (int, error)
}

// lettersAtOnce is how many dead letters are read at once.
const lettersAtOnce = 100

// maxLettersBody bounds the body of a request that names dead letters.
const maxLettersBody = 1 << 20

// listLetters answers with all dead letters, or those after a number.
func (h *handler) listLetters(w http.ResponseWriter, r *http.Request) {
	if h.cfg.DeadLetters == nil {
		text(w, http.StatusNotFound, "There are no dead letters.\n")
		return
	}
	after := uint64(0)
	if s := r.FormValue("after"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			text(w, http.StatusBadRequest, fmt.Sprintf("%q is no number of a dead letter.\n", s))
			return
		}
		after = n
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	for {
		lines, last, err := h.cfg.DeadLetters.AppendDeadLetters(nil, after, lettersAtOnce)
		if err != nil {
			h.cfg.Logger.Error("dead letters cannot be read", "err", err)
			panic(http.ErrAbortHandler) // a list that ends early must not look whole
		}
		if last == 0 {
			return
		}
		if _, err := w.Write(lines); err != nil {
			return
		}
		after = last
	}
}

// LettersRequest is the body of a request that names dead letters.
type LettersRequest struct {
	Numbers []uint64 `json:"numbers"`
}

// LettersAnswer is the answer to it.
type LettersAnswer struct {
	Done int `json:"done"` // how many there were
}

// changeLetters does something to the dead letters that a request names.
func (h *handler) changeLetters(do func(DeadLetters, []uint64) (int, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h.cfg.DeadLetters == nil {
			text(w, http.StatusNotFound, "There are no dead letters.\n")
			return
		}
		var req LettersRequest
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLettersBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&req); err != nil {
			text(w, http.StatusBadRequest, fmt.Sprintf("The body is not like {\"numbers\":[1,2]}: %v\n", err))
			return
		}
		n, err := do(h.cfg.DeadLetters, req.Numbers)
		if err != nil {
			text(w, http.StatusInternalServerError, fmt.Sprintf("That failed: %v\n", err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(LettersAnswer{n}) // a client that is gone needs no answer
	}
}
