package settings

// listDeliveries shows the history of all organizations.
func (o *operatorPages) listDeliveries(v *visit) error {
	q := readQuery(v.r, append(historyParameters, "organization", "subject")...)
	q.many = true
	data := historyView{Filter: v.historyFilter(q), Many: true}
	data.Filter.OrganizationID, data.Filter.Subject = q.organization("organization"), q.subject("subject")
	if err := v.fillHistory(q, &data); err != nil {
		return err
	}
	if err := v.nameEndpoints(&data); err != nil {
		return err
	}
	return v.show(data.Status(), "history", view{Heading: "Deliveries", Section: "deliveries", Data: data})
}
