package health

import "github.com/foyer-server/foyer/internal/hint"

// FromError is a finding made of an error: that of a person's, where it is one, in place of
// code and what there would be to say else.
func FromError(code string, title hint.Text, err error) Result {
	f := Finding{Severity: Error, What: hint.T("It did not work: %s.", "Cela n'a pas marché : %s.", err.Error())}
	if e := hint.Find(err); e != nil {
		code, f.What, f.Did, f.Do = e.Code, e.What, e.Did, e.Do
	}
	return Result{Code: code, Title: title, Finding: f}
}
