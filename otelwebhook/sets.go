package otelwebhook

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// The keys that several files use.
const (
	deliveryStateKey = attribute.Key("alotwebhook.delivery.state")
	endpointStateKey = attribute.Key("alotwebhook.endpoint.state")
	eventTypeKey     = attribute.Key("alotwebhook.event.type")
)

// mostSets bounds how many combinations of words one kind of measurement has. The words are
// the library's own, or event types of the host's catalogue, so that it is hardly ever
// reached; but a series that is made once stays.
const mostSets = 500

// other stands for all words beyond that, as in OpenTelemetry's conventions for error.type.
const other = "_OTHER"

// attributeSets are the attributes of all measurements.
type attributeSets struct {
	none, errors, results, reasons, ends, emits, types *sets
	disabledReasons, recoveryStates, purgeKinds        *sets
}

func newAttributeSets() attributeSets {
	return attributeSets{
		none:            newSets(),
		errors:          newSets(semconv.ErrorTypeKey),
		results:         newSets("alotwebhook.outcome.result"),
		reasons:         newSets(semconv.ErrorTypeKey),
		ends:            newSets(deliveryStateKey, semconv.ErrorTypeKey),
		emits:           newSets("alotwebhook.emit.call", semconv.ErrorTypeKey),
		types:           newSets(eventTypeKey),
		disabledReasons: newSets("alotwebhook.endpoint.disabled_reason"),
		recoveryStates:  newSets("alotwebhook.recovery.state"),
		purgeKinds:      newSets("alotwebhook.purge.kind"),
	}
}

// sets keeps the attributes of one kind of measurement: each combination of words is made
// once, so that a measurement allocates nothing for them.
type sets struct {
	keys [2]attribute.Key

	mu   sync.RWMutex
	kept map[words]*set
	// with has those with attributes of the host's beside the words.
	with map[ownWords]*set
}

// words are the values of the keys, "" for none.
type words [2]string

type ownWords struct {
	own   attribute.Distinct
	words words
}

// set is one combination, in the forms that instruments take.
type set struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

func newSets(keys ...attribute.Key) *sets {
	s := &sets{kept: map[words]*set{}, with: map[ownWords]*set{}}
	copy(s.keys[:], keys)
	return s
}

// of returns the attributes with the host's own and with these words, one for each key. An
// empty one is left out.
func (s *sets) of(own attribute.Set, first, second string) *set {
	if own.Len() > 0 {
		return s.beside(own, words{first, second})
	}
	return s.alone(words{first, second})
}

// word is of for one word, and none of the host's.
func (s *sets) word(w string) *set { return s.alone(words{w}) }

func (s *sets) alone(w words) *set {
	s.mu.RLock()
	found := s.kept[w]
	s.mu.RUnlock()
	if found != nil {
		return found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= mostSets {
		w = words{other, other}
	}
	if s.kept[w] == nil {
		s.kept[w] = newSet(s.attributes(nil, w))
	}
	return s.kept[w]
}

// mostOwn bounds what is kept of the host's attributes. Past it all of it is forgotten, and
// made again where it is used.
const mostOwn = 10_000

func (s *sets) beside(own attribute.Set, w words) *set {
	key := ownWords{own.Equivalent(), w}
	s.mu.RLock()
	found := s.with[key]
	s.mu.RUnlock()
	if found != nil {
		return found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.with) >= mostOwn {
		clear(s.with)
	}
	s.with[key] = newSet(s.attributes(own.ToSlice(), w))
	return s.with[key]
}

// attributes puts the words behind the host's attributes: of two with one key the last counts.
func (s *sets) attributes(own []attribute.KeyValue, w words) []attribute.KeyValue {
	for i, key := range s.keys {
		if key != "" && w[i] != "" {
			own = append(own, key.String(w[i]))
		}
	}
	return own
}

func newSet(attributes []attribute.KeyValue) *set {
	option := metric.WithAttributeSet(attribute.NewSet(attributes...))
	return &set{add: []metric.AddOption{option}, record: []metric.RecordOption{option}}
}

// observed is the only attribute of a gauge.
func observed(key attribute.Key, value string) metric.ObserveOption {
	return metric.WithAttributeSet(attribute.NewSet(key.String(value)))
}
