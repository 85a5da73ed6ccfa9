package kinto

// A Service is what others may ask for; how that is done lies in three layers, each of
// which knows those below it only: who may do what, what is read for that, and what is
// written. A layer is the Service seen from there: none has anything of its own.

// rights knows who may do what.
type rights struct{ *Service }

// reader finds and answers what may be read.
type reader struct{ rights }

// writer changes what may be written.
type writer struct{ reader }

func (s *Service) rights() rights { return rights{s} }
func (s *Service) reader() reader { return reader{s.rights()} }
func (s *Service) writer() writer { return writer{s.reader()} }
