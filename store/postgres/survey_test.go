package postgres

import "time"

// Many tests expect a claim that would return nothing to survey the queue. On a
// machine under heavy load a survey takes longer than one that is cheap, and such a
// claim would go without. So in tests every survey of few endpoints is cheap.
func init() { cheapSurvey = time.Hour }
